import { Icon } from '../ui/Icon';
import { PROMPTS } from './prompts';

export function EmptyState({ onPick }: { onPick: (text: string) => void }) {
  return (
    <div className="mx-auto flex w-full max-w-5xl flex-col gap-5 px-4 py-6 sm:py-8">
      <div className="space-y-3">
        <h1 className="text-2xl font-semibold tracking-tight text-balance sm:text-3xl">
          Break this chat. The answer will arrive.
        </h1>
        <p className="max-w-2xl leading-relaxed text-pretty text-muted-foreground">
          An answer here belongs to its session, not to this page. Start one, then cut the network,
          reload, or open the address on your phone: every tab shows the same answer, and Stop
          stops it everywhere. The models are simulated, so nothing costs anything.
        </p>
      </div>
      <ul className="grid gap-2.5 sm:grid-cols-2 lg:grid-cols-3" aria-label="Prompts to try">
        {PROMPTS.map((prompt, index) => (
          <li key={prompt.title} className={index === 0 ? 'sm:col-span-2 lg:col-span-1' : ''}>
            <button
              type="button"
              onClick={() => onPick(prompt.text)}
              className={`flex h-full w-full items-start gap-3 rounded-2xl border p-4 text-left transition hover:border-primary/60 hover:bg-accent/50 ${index === 0 ? 'border-primary/40 bg-accent/60' : 'bg-card'}`}
            >
              <span className="mt-0.5 text-primary">
                <Icon name={prompt.icon} className="size-5" />
              </span>
              <span>
                <span className="block font-medium">{prompt.title}</span>
                <span className="mt-0.5 block text-sm text-pretty text-muted-foreground">
                  {prompt.detail}
                </span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
