import { createApp } from 'vue';

import Conversation from './Conversation.vue';

createApp(Conversation, { id: location.pathname.slice(1) }).mount('#root');
