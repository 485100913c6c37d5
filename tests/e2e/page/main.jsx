// The smallest frontend there is, with nothing to see: `window.chat` is for a test to act and look.
//
// The address says what it is: ?api=http://…/api/chat&chat=ID&transport=midstream|stock|chatbot, and &answers
// to send a message again once its calls are answered, as the AI SDK's own examples do.
// It is built once for each major version of the AI SDK, which `ai` and `@ai-sdk/react` then mean.

import { useChat } from '@ai-sdk/react';
import * as ai from 'ai';
import { StrictMode, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { MidstreamChatTransport } from 'midstream-chat';
import { useSession } from 'midstream-chat/react';

const options = new URLSearchParams(location.search);
const api = options.get('api');
const first = options.get('chat');

/** Every response's end, as `onFinish` heard of it. */
const finishes = [];
/** Each status, once for every change. */
const statuses = [];

const onFinish = ({ message, isAbort, isDisconnect, isError }) =>
  finishes.push({ messageId: message.id, isAbort, isDisconnect, isError });

// ai 5 knows no approvals.
const isAnswered = conversation =>
  ai.lastAssistantMessageIsCompleteWithToolCalls(conversation) ||
  Boolean(ai.lastAssistantMessageIsCompleteWithApprovalResponses?.(conversation));
const sending = options.has('answers') ? { sendAutomaticallyWhen: isAnswered } : {};

function expose(chat, session) {
  if (statuses.at(-1) !== chat.status) statuses.push(chat.status);
  const { status, messages, error } = chat;
  window.chat = {
    look: () => ({
      status,
      messages,
      error: error && { message: error.message, code: error.code },
      finishes,
      statuses,
      session: session && JSON.parse(JSON.stringify(session)),
    }),
    // None of them is awaited: a test waits for what it sees.
    send: message => void chat.sendMessage(message),
    retry: () => void chat.regenerate(),
    stop: () => void chat.stop(),
    resend: () => void session.resend(),
    answer: output => void chat.addToolOutput(output),
    allow: answer => void chat.addToolApprovalResponse(answer),
  };
}

const transport = new MidstreamChatTransport({ api });

function Ours({ id }) {
  const chat = useChat({ id, transport, onFinish, ...sending });
  expose(chat, useSession(chat, { transport }));
  return null;
}

// As the README has it.
const uncached = (url, init) => fetch(url, { ...init, cache: 'no-store' });
const stock = new ai.DefaultChatTransport({ api, fetch: uncached });

function Stock({ id }) {
  expose(useChat({ id, transport: stock, resume: true, onFinish }));
  return null;
}

/**
 * The path of vercel/chatbot: a page of a new chat changes its address as it sends, loads the history
 * of that address, and resumes if it ends with a question; here when a test says so.
 */
function Chatbot({ id }) {
  const chat = useChat({ id, transport: stock, onFinish });
  const [history, setHistory] = useState([]);
  const { resumeStream } = chat;
  const isUnanswered = history.at(-1)?.role === 'user';
  useEffect(() => {
    if (isUnanswered) void resumeStream();
  }, [isUnanswered, resumeStream]);
  expose(chat);
  window.chat.load = async () => {
    const answer = await fetch(`${api}/${id}`);
    setHistory((await answer.json()).messages);
  };
  return null;
}

/** `show(id)` goes to another chat, `show(null)` leaves. */
function App() {
  const [id, show] = useState(first);
  window.show = show;
  if (id === null) return null;
  const Page = { stock: Stock, chatbot: Chatbot }[options.get('transport')] ?? Ours;
  return <Page id={id} />;
}

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
