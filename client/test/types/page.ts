import { connect, Mesh, MeshError, type Message, type State, type User } from "mini-apps-mesh";
import { shrink, upload, type Uploaded } from "mini-apps-mesh/media";
import { msgpack } from "mini-apps-mesh/msgpack";

const mesh: Mesh = await connect({ app: "counter", queue: 10, settings: new URL("https://a.example/settings.json"), codec: msgpack });

const stop: () => void = mesh.on("clicks-updated", ({ clicks }) => clicks.toFixed());
mesh.on("welcome", ({ name, is_admin, channels }) => [name.length, is_admin === true, channels?.game.recovered]);
mesh.on("disconnect", ({ code, reason }) => [code.toFixed(), reason?.length]);
mesh.on("presence", async ({ event }) => event === "join");
mesh.on("*", (message: Message) => message.type === "move");
mesh.onState((state: State, { code, reason, retryIn }) => [state, code, reason, retryIn?.toFixed()]);
stop();

const queued: boolean = mesh.send({ type: "click", x: 1 });
const clicks: number = await mesh.request<number>({ type: "clicks" }, { timeout: 500 });
const joined = await mesh.subscribe("game:42");
const offset: number | undefined = joined.offset;
const user: User = await mesh.ready;
for await (const message of mesh) message.type.length;

const picture: Uploaded = await upload(mesh, await shrink(new Blob()), { side: 0, gateway: "https://a.example/", signal: AbortSignal.timeout(9) });
picture.url.length + picture.width;
mesh.session?.length;

const error = new MeshError("text");
const code: string | number = error.code;
mesh.close();
export { clicks, code, offset, queued, user };

// @ts-expect-error: a message has a type
mesh.send({ x: 1 });
// @ts-expect-error: `id` is the client's
mesh.request({ type: "delete", id: 5 });
// @ts-expect-error: the state is for reading
mesh.state = "open";
// @ts-expect-error: there is no such option
connect({ retries: 5 });
