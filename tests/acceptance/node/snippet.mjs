// The PRD's own snippet (9.1), and a line of JSON for each frame it is sent.
import { io } from 'socket.io-client';

const [url, roomId, jwtToken] = process.argv.slice(2);

const socket = io(url, {
  auth: {
    token: jwtToken
  }
});

// Join room
socket.emit('join_room', { roomId });

const TYPES = ['joined', 'agent_joined', 'agent_message', 'agent_status', 'agent_left', 'room_stats', 'quote_expired',
  'deal_locked', 'deal_verifying', 'deal_status', 'deal_completed', 'deal_failed', 'private', 'user_message', 'error'];
for (const type of TYPES) {
  socket.on(type, (frame) => process.stdout.write(JSON.stringify({ type, ...frame }) + '\n'));
}
socket.on('connect_error', (error) => { console.error(error.message); process.exit(1); });
