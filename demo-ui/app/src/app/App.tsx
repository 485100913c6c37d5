import { useState } from 'react';
import { isSecondPane, newSessionId, useRoute } from '../page/route';
import { Sidebar } from '../sidebar/Sidebar';
import { useChats } from '../sidebar/useChats';
import { SessionView } from './SessionView';

export function App() {
  const [id, open] = useRoute();
  const [change, setChange] = useState('');
  const view = (onMenu: () => void) => (
    <SessionView key={id} id={id} onMenu={onMenu} onChange={setChange} />
  );
  if (isSecondPane) return <div className="flex h-dvh">{view(() => undefined)}</div>;
  return <WithSidebar id={id} open={open} change={change} view={view} />;
}

interface Props {
  id: string;
  open: (id: string) => void;
  change: string;
  view: (onMenu: () => void) => React.ReactNode;
}

function WithSidebar({ id, open, change, view }: Props) {
  const [menu, setMenu] = useState(false);
  const { chats, problem, erase } = useChats(change);
  const go = (next: string) => {
    setMenu(false);
    open(next);
  };
  return (
    <div className="flex h-dvh overflow-hidden" onKeyDown={(event) => {
        if (event.key !== 'Escape' || !menu) return;
        event.preventDefault();
        setMenu(false);
      }}>
      <a
        href="#message"
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-40 focus:rounded-lg focus:bg-popover focus:px-4 focus:py-2"
      >
        To the message
      </a>
      {menu && (
        <div aria-hidden="true" className="fixed inset-0 z-20 bg-black/40 lg:hidden" onClick={() => setMenu(false)} />
      )}
      <div className={`fixed inset-y-0 left-0 z-30 lg:static lg:block ${menu ? 'block' : 'hidden'}`}>
        <Sidebar
          chats={chats}
          problem={problem}
          current={id}
          onOpen={go}
          onNew={() => go(newSessionId())}
          onErase={(erased) => {
            void erase(erased);
            if (erased === id) go(newSessionId());
          }}
          onClose={() => setMenu(false)}
        />
      </div>
      {view(() => setMenu(true))}
    </div>
  );
}
