import { App, SocketConnection } from "mini-apps-mesh/app";
import type { Message, User } from "mini-apps-mesh";

class Events extends App {
  constructor(telegram: { WebApp: { initData: string; expand(): void } }) {
    super("mini_event", telegram);
    this.connection.addEventListener("event", (event) => (event as CustomEvent<Message>).detail.title);
  }

  protected override _on_welcome(event: CustomEvent<Message & User>): void {
    super._on_welcome(event);
    this.connection.send({ type: "attend", event: 3 });
  }
}

export const connection: SocketConnection = new Events({ WebApp: { initData: "", expand() {} } }).connection;
await connection.connect_from_settings();

// @ts-expect-error: an app has a name
new App();
