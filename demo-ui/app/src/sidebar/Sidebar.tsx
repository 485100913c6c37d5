import { useEffect, useRef, useState } from 'react';
import type { ChatSummary } from '../network/api';
import { addressOf } from '../page/route';
import { useTheme } from '../page/theme';
import { canNotify, useNotifications } from '../session/useAnnouncement';
import { Button, IconButton } from '../ui/Button';
import { Dialog } from '../ui/Dialog';
import { Wordmark } from '../ui/Wordmark';
import { splitDirectives } from '../words/directives';
import { ago, useNow } from '../words/time';

interface Props {
  chats: ChatSummary[] | null;
  problem: string;
  current: string;
  onOpen: (id: string) => void;
  onNew: () => void;
  onErase: (id: string) => void;
  onClose: () => void;
}

export function Sidebar({ chats, problem, current, onOpen, onNew, onErase, onClose }: Props) {
  const now = useNow(true, 30_000);
  const [asked, setAsked] = useState<ChatSummary | null>(null);
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    nav.current?.querySelector('[aria-current="page"]')?.scrollIntoView({ block: 'nearest' });
  }, [current]);
  return (
    <aside className="flex h-full w-72 flex-col border-r bg-sidebar" aria-label="Sessions">
      <div className="flex h-14 items-center justify-between pr-2 pl-4">
        <Wordmark />
        <IconButton icon="close" label="Close the sidebar" className="lg:hidden" onClick={onClose} />
      </div>
      <div className="px-3 pb-2">
        <Button look="outline" icon="plus" className="w-full justify-start" onClick={onNew}>
          New session
        </Button>
      </div>
      <nav ref={nav} className="scroll-area min-h-0 flex-1 px-2 pb-2" aria-label="Earlier sessions">
        {problem && <p className="px-2 py-3 text-sm text-danger">{problem}</p>}
        {chats?.length === 0 && (
          <p className="px-2 py-3 text-sm text-muted-foreground">Sessions appear here, from every tab.</p>
        )}
        <ul className="space-y-0.5">
          {chats?.map((chat) => (
            <SessionItem
              key={chat.id}
              chat={chat}
              isCurrent={chat.id === current}
              now={now}
              onOpen={onOpen}
              onErase={() => setAsked(chat)}
            />
          ))}
        </ul>
      </nav>
      <Footer />
      {asked && (
        <EraseDialog
          chat={asked}
          onClose={() => setAsked(null)}
          onErase={() => {
            setAsked(null);
            onErase(asked.id);
          }}
        />
      )}
    </aside>
  );
}

interface ItemProps {
  chat: ChatSummary;
  isCurrent: boolean;
  now: number;
  onOpen: (id: string) => void;
  onErase: () => void;
}

function SessionItem({ chat, isCurrent, now, onOpen, onErase }: ItemProps) {
  return (
    <li className="group relative">
      <a
        href={addressOf(chat.id)}
        aria-current={isCurrent ? 'page' : undefined}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return;
          event.preventDefault();
          onOpen(chat.id);
        }}
        className="block min-h-11 rounded-lg py-2 pr-12 pl-3 text-sm hover:bg-muted aria-[current=page]:bg-accent aria-[current=page]:text-accent-foreground"
      >
        <span className="block truncate">{titleOf(chat)}</span>
        <span className="mt-0.5 flex items-center gap-1.5 text-xs text-muted-foreground">
          {chat.activeRunId && <span aria-hidden="true" className="size-1.5 animate-ripple rounded-full bg-primary text-primary" />}
          {chat.activeRunId ? 'being written' : ago(chat.updatedAtMs, now)}
        </span>
      </a>
      <IconButton
        icon="trash"
        label={`Delete “${titleOf(chat)}”`}
        className="absolute top-1 right-0.5 opacity-0 group-hover:opacity-100 focus-visible:opacity-100 [@media(hover:none)]:opacity-70"
        onClick={onErase}
      />
    </li>
  );
}

function Footer() {
  const [theme, toggleTheme] = useTheme();
  const [notifies, toggleNotifications] = useNotifications();
  return (
    <div className="flex items-center justify-between border-t px-3 py-2">
      <a className="flex min-h-11 items-center px-2 text-xs text-muted-foreground hover:text-foreground hover:underline" href="/schema">
        The gateway's API
      </a>
      {canNotify && (
        <IconButton
          icon="bell"
          label="Notify me when an answer is done"
          className="ml-auto"
          aria-pressed={notifies}
          onClick={() => void toggleNotifications()}
        />
      )}
      <IconButton
        icon={theme === 'dark' ? 'sun' : 'moon'}
        label={theme === 'dark' ? 'Light theme' : 'Dark theme'}
        onClick={toggleTheme}
      />
    </div>
  );
}

function EraseDialog({ chat, onClose, onErase }: { chat: ChatSummary; onClose: () => void; onErase: () => void }) {
  return (
    <Dialog title="Delete this session?" onClose={onClose}>
      <p className="text-sm text-pretty wrap-anywhere text-muted-foreground">
        “{titleOf(chat)}” will be deleted for good, in every tab and on every device
        {chat.activeRunId ? ', and the answer that is being written will end.' : '.'}
      </p>
      <div className="mt-5 flex justify-end gap-2">
        <Button look="outline" autoFocus onClick={onClose}>
          Keep it
        </Button>
        <Button look="danger" icon="trash" onClick={onErase}>
          Delete
        </Button>
      </div>
    </Dialog>
  );
}

function titleOf(chat: ChatSummary): string {
  return splitDirectives(chat.title).words.replace(/\s*\[\[.*$/, '') || 'Untitled';
}
