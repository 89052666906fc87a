import { runConversations } from './conversations.ts';
import { openings } from './openings.ts';

runConversations('openings', openings);
