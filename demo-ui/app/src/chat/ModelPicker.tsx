import { useEffect, useState } from 'react';
import { listAgents, type AgentOffer } from '../network/api';
import { store, stored } from '../page/store';
import { Icon } from '../ui/Icon';
import { agentName, modelName } from '../words/names';

/** The agent and the model to ask; empty for the gateway's default. */
export interface Choice {
  agent?: string;
  model?: string;
}

const KEY = 'midstream-choice';

export function storedChoice(): Choice {
  try {
    return JSON.parse(stored(KEY) ?? '{}') as Choice;
  } catch {
    return {};
  }
}

export function ModelPicker({ choice, onChoose }: { choice: Choice; onChoose: (choice: Choice) => void }) {
  const [agents, setAgents] = useState<AgentOffer[]>([]);
  useEffect(() => {
    listAgents().then(setAgents, () => undefined);
  }, []);
  const offered = agents.some((agent) => agent.name === choice.agent);
  const value = offered ? `${choice.agent}/${choice.model ?? ''}` : firstOf(agents);
  return (
    // The arrow is our own: the browser's comes with a look that differs in each browser.
    <span className="relative min-w-0 shrink text-muted-foreground hover:text-foreground">
      <select
        aria-label="Model"
        value={value}
        onChange={(event) => {
          const [agent, model] = event.target.value.split('/');
          const next = { agent, model: model || undefined };
          store(KEY, JSON.stringify(next));
          onChoose(next);
        }}
        className="h-11 max-w-44 min-w-0 appearance-none truncate rounded-lg bg-transparent pr-7 pl-2 text-sm text-inherit hover:bg-muted"
      >
        {agents.length === 0 && <option value="">Default model</option>}
        {agents.map((agent) => (
          <optgroup key={agent.name} label={agentName(agent.name)}>
            {(agent.models.length > 0 ? agent.models : ['']).map((model) => (
              <option key={model} value={`${agent.name}/${model}`}>
                {model ? modelName(model) : agentName(agent.name)}
              </option>
            ))}
          </optgroup>
        ))}
      </select>
      <Icon name="chevron" className="pointer-events-none absolute top-3.5 right-2 size-4 rotate-90" />
    </span>
  );
}

function firstOf(agents: AgentOffer[]): string {
  const first = agents[0];
  return first ? `${first.name}/${first.models[0] ?? ''}` : '';
}
