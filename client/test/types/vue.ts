import { createApp, ref } from "vue";
import { connect } from "mini-apps-mesh";
import { miniApp, useChannel, useMessage, useMiniApp } from "mini-apps-mesh/vue";

const app = createApp({
  setup() {
    const { mesh, state, user, why, node } = useMiniApp();
    const channel = ref<string | null>("game:42");
    const { joined, error } = useChannel(channel, ({ type }) => type);
    useChannel(() => channel.value);
    useChannel("lobby");
    useMessage("move", ({ x }) => mesh.send({ type: "seen", x }));
    const text: string[] = [state.value, user.value?.name ?? "", why.value.reason ?? "", node.value ?? "", String(joined.value)];
    return { text, error };
  },
});
app.use(miniApp(await connect()));

// @ts-expect-error: it needs the connection
app.use(miniApp());
