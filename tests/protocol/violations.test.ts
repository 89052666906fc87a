import { runConversations } from './conversations.ts';
import { violations } from './violations.ts';

runConversations('violations', violations);
