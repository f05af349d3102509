// Emits M messages to everybody, RATE a second, as another process of Socket.IO would.
const { Emitter } = require("@socket.io/redis-emitter");
const { createClient } = require("redis");
const [count, rate] = [+process.argv[2], +process.argv[3]];
const clock = () => performance.timeOrigin + performance.now();

(async () => {
  const client = createClient({ url: "redis://127.0.0.1:" + process.env.REDIS_PORT });
  await client.connect();
  const emitter = new Emitter(client);
  const start = clock();
  for (let n = 0; n < count; n++) {
    emitter.emit("tick", { n, t: Math.round(clock() * 1e6), pad: "x".repeat(80) });
    const wait = rate ? start + ((n + 1) * 1000) / rate - clock() : 0;
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  }
  setTimeout(() => process.exit(0), 300);
})();
