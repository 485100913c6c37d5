import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

import { Assistant } from './Assistant';
import { RuntimeOfAssistantUi } from './RuntimeOfAssistantUi';

const [, kind, id] = location.pathname.split('/');

/** Leaving is what a router does: the page stays, the chat goes. */
function App() {
  const [isHere, setHere] = useState(true);
  return (
    <>
      <button onClick={() => setHere(!isHere)}>{isHere ? 'Leave' : 'Return'}</button>
      {isHere && (kind === 'runtime' ? <RuntimeOfAssistantUi id={id} /> : <Assistant id={id} />)}
    </>
  );
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
