import { createElement, type ReactElement } from "react";
import { connect } from "mini-apps-mesh";
import { MiniApp, useChannel, useMessage, useMiniApp } from "mini-apps-mesh/react";

function Game(): ReactElement {
  const { mesh, state, user, why, node } = useMiniApp();
  const { joined, error } = useChannel("game:42", ({ channel }) => channel);
  useChannel(null);
  useMessage("resync", ({ reason }) => reason?.length);
  useMessage("move", ({ x }) => mesh.send({ type: "seen", x }));
  const text: string[] = [state, user?.name ?? "", why.reason ?? "", node ?? "", String(joined), String(error?.reason)];
  return createElement("p", null, ...text);
}

export const page = createElement(MiniApp, { mesh: await connect() }, createElement(Game));

// @ts-expect-error: it needs the connection
createElement(MiniApp, {});
