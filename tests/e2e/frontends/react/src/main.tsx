import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { Chat } from './Chat';
import { Conversation } from './Conversation';

const [, page, id] = /^\/(stock\/)?(.*)$/.exec(location.pathname)!;

createRoot(document.getElementById('root')!).render(
  <StrictMode>{page ? <Chat key={id} id={id} /> : <Conversation id={id} />}</StrictMode>,
);
