// closer is the same for node: destroy() closes at once, and so does resetAndDestroy(), with a RST.
const net = require('net');

function closeIt(socket) {
  socket.destroy(); // mark: closeIt
}

function handle(socket) {
  closeIt(socket); // mark: handle
}

const server = net.createServer(handle);
server.listen(9300, '127.0.0.1', () => console.log('ready'));
