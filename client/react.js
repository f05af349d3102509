"use client"; // where React renders on a server: hooks are for the browser

// Mini Apps in React: <MiniApp mesh={mesh}> around the page, hooks inside. react.d.ts tells types and meaning.

import { createContext, createElement, useCallback, useContext, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { enter, OUTSIDE } from "./channels.js";

const Context = createContext(null);

export function MiniApp({ mesh, children }) {
  return createElement(Context.Provider, { value: mesh }, children);
}

export function useMiniApp() {
  const mesh = useMesh();
  const watch = useCallback((changed) => mesh.onState(changed), [mesh]);
  useSyncExternalStore(watch, () => mesh.why); // which is another object after each change of state
  const { state, why, user, node } = mesh;
  return { mesh, state, why, user, node };
}

export function useMessage(type, listener) {
  const mesh = useMesh();
  const latest = useLatest(listener);
  useEffect(() => mesh.on(type, (message) => latest.current(message)), [mesh, type, latest]);
}

export function useChannel(channel, listener) {
  const mesh = useMesh();
  const latest = useLatest(listener);
  const [status, setStatus] = useState(OUTSIDE);
  useEffect(() => {
    if (channel) return enter(mesh, channel, (message) => latest.current?.(message), setStatus);
    setStatus(OUTSIDE);
  }, [mesh, channel, latest]);
  return status;
}

function useMesh() {
  const mesh = useContext(Context);
  if (!mesh) throw new Error("put <MiniApp mesh={mesh}> around the components that use it");
  return mesh;
}

/** Keeps what the last render gave, so that a new function at each render does not subscribe anew. */
function useLatest(value) {
  const latest = useRef(value);
  useEffect(() => {
    latest.current = value;
  });
  return latest;
}
