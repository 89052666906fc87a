import { runConversations } from './conversations.ts';
import { extendedViolations } from './extended-violations.ts';

runConversations('extended_violations', extendedViolations);
