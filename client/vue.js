// Mini Apps in Vue: app.use(miniApp(mesh)), then the functions below in `setup`. vue.d.ts tells types and meaning.

import { computed, inject, markRaw, onScopeDispose, shallowRef, toValue, watch } from "vue";
import { enter, OUTSIDE } from "./channels.js";

const MESH = Symbol("mini-apps");

export function miniApp(mesh) {
  return { install: (app) => app.provide(MESH, markRaw(mesh)) }; // a proxy could not reach its private members
}

export function useMiniApp() {
  const mesh = useMesh();
  const now = shallowRef(mesh);
  const stop = mesh.onState((state, why) => (now.value = { state, why, user: mesh.user, node: mesh.node }));
  onScopeDispose(stop);
  const part = (name) => computed(() => now.value[name]);
  return { mesh, state: part("state"), why: part("why"), user: part("user"), node: part("node") };
}

export function useMessage(type, listener) {
  onScopeDispose(useMesh().on(type, listener));
}

export function useChannel(channel, listener) {
  const mesh = useMesh();
  const status = shallowRef(OUTSIDE);
  const change = (name, _, onCleanup) => {
    status.value = OUTSIDE;
    if (name) onCleanup(enter(mesh, name, listener, (news) => (status.value = news)));
  };
  watch(() => toValue(channel), change, { immediate: true });
  return { joined: computed(() => status.value.joined), error: computed(() => status.value.error) };
}

function useMesh() {
  const mesh = inject(MESH, null);
  if (!mesh) throw new Error("give the app its connection: app.use(miniApp(await connect()))");
  return mesh;
}
