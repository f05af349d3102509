const { Server } = require("socket.io"); const { createAdapter } = require("@socket.io/redis-adapter"); const { createClient } = require("redis");
(async()=>{ const pub=createClient({url:"redis://127.0.0.1:"+process.env.REDIS_PORT}); const sub=pub.duplicate(); await pub.connect(); await sub.connect();
const http=require("http").createServer(); const io=new Server(http,{adapter:createAdapter(pub,sub),transports:["websocket"],perMessageDeflate:false,pingInterval:300000});
http.listen(+process.argv[2],"127.0.0.1",4096);})();
