import { mount } from 'svelte';

import Conversation from './Conversation.svelte';

mount(Conversation, {
  target: document.getElementById('root')!,
  props: { id: location.pathname.slice(1) },
});
