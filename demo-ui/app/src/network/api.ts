/** Requests to the gateway that are not the chat's own. */

export interface ChatSummary {
  id: string;
  title: string;
  updatedAtMs: number;
  activeRunId: string | null;
}

export interface AgentOffer {
  name: string;
  models: string[];
}

/** A request that the gateway has refused. */
export class GatewayRefusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export async function listChats(): Promise<ChatSummary[]> {
  return (await request<{ chats: ChatSummary[] }>('/api/chats?limit=100')).chats;
}

export async function listAgents(): Promise<AgentOffer[]> {
  return (await request<{ agents: AgentOffer[] }>('/api/agents')).agents;
}

export async function eraseChat(id: string): Promise<void> {
  await request(`/api/chat/${encodeURIComponent(id)}`, { method: 'DELETE' });
}

/** The open run, and the process that produces it; null if there is none. */
export interface AtWork {
  runId: string | null;
  pid: number | null;
  /** The processes that produced it before and died, oldest first. */
  dead: number[];
}

export async function findWorker(id: string): Promise<AtWork> {
  return request(`/api/demo/worker/${encodeURIComponent(id)}`);
}

/** Kills the worker that writes the session's answer, as `kill -9` does. */
export async function killWorker(id: string): Promise<AtWork> {
  return request('/api/demo/kill', { method: 'POST', body: JSON.stringify({ id }) });
}

async function request<Answer>(path: string, init?: RequestInit): Promise<Answer> {
  const response = await fetch(path, { cache: 'no-store', ...init });
  const text = await response.text();
  if (!response.ok) throw refusal(response.status, text);
  return (text ? JSON.parse(text) : undefined) as Answer;
}

function refusal(status: number, text: string): GatewayRefusal {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return new GatewayRefusal(status, error.code, error.message);
  } catch {
    return new GatewayRefusal(status, 'unknown', `the gateway answered ${status}`);
  }
}
