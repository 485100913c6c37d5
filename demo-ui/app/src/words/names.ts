/** Names of agents and models for people. */

const SIMULATED: Record<string, string> = {
  sim: 'Simulated',
  'sim-instant': 'All at once',
  'sim-fast': 'Fast',
  'sim-slow': 'Slow',
  'sim-reasoner': 'Thinks first',
  'sim-tools': 'Calls a tool',
  'sim-search': 'Searches the web',
  'sim-long': 'Ten minutes long',
};

const AGENTS: Record<string, string> = {
  'simulator-openai': 'Simulated, like OpenAI in the background',
  simulator: 'Simulated, like Anthropic',
  'simulator-openai-chat': 'Simulated, like a compatible server',
  anthropic: 'Anthropic',
  openai: 'OpenAI',
};

/** `claude-sonnet-5-5` is Claude Sonnet 5.5, `gpt-5.4-mini` is GPT 5.4 mini. */
export function modelName(id: string): string {
  if (id in SIMULATED) return SIMULATED[id]!;
  const words = id
    .replace(/-(20\d{6}|20\d\d-\d\d-\d\d)$/, '')
    .replace(/(\d)-(?=\d)/g, '$1.')
    .split('-');
  const isClaude = words[0] === 'claude';
  return words
    .map((word) => (word === 'gpt' ? 'GPT' : isClaude ? capital(word) : word))
    .join(' ');
}

export function agentName(id: string): string {
  return AGENTS[id] ?? capital(id.replace(/[-_]+/g, ' '));
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
