const { WebSocketServer } = require("ws"); const Redis=require("ioredis");
const conns=new Set(); const wss=new WebSocketServer({port:+process.argv[2],host:"127.0.0.1",perMessageDeflate:false,backlog:4096});
wss.on("connection",ws=>{ws.send('{"type":"connect"}');ws.on("message",m=>{const d=JSON.parse(m);if(d.type=="login"){conns.add(ws);ws.send('{"type":"welcome"}');}});});
const r=new Redis(+process.env.REDIS_PORT); r.subscribe("bench"); r.on("messageBuffer",(c,m)=>{for(const w of conns)w.send(m,{binary:false});});
