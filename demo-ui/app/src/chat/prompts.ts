/** The prompts of the empty state; each shows one feature. The brackets direct the simulator. */
import type { IconName } from '../ui/Icon';

export interface ScriptedPrompt {
  icon: IconName;
  title: string;
  detail: string;
  text: string;
}

export const PROMPTS: readonly ScriptedPrompt[] = [
  {
    icon: 'waves',
    title: 'A two-minute answer',
    detail: 'Long enough to press every button above, and to queue the next question.',
    text: 'Where does an answer live when everything around it breaks? Tell me at length. [[long=2m rate=24]]',
  },
  {
    icon: 'brain',
    title: 'Think first',
    detail: 'Reasoning that streams, then folds away when the answer begins.',
    text: 'Is 3599 a prime number? [[reasoning=120 first=1s]]',
  },
  {
    icon: 'tool',
    title: 'Call a tool',
    detail: 'You are the tool: give its result, and the model continues with it.',
    text: 'What is the weather in Lisbon? [[tool=get_weather {"city": "Lisbon"}]]',
  },
  {
    icon: 'check',
    title: 'Ask before it acts',
    detail: 'A tool that waits for your permission, here or on another device.',
    text: 'Send a postcard to Lisbon. [[tool=send_postcard {"city": "Lisbon", "text": "Wish you were here"}]]',
  },
  {
    icon: 'globe',
    title: 'Search, and cite sources',
    detail: 'Sources that arrive with the text that cites them.',
    text: 'What keeps a stream of tokens in order? [[sources=3]]',
  },
  {
    icon: 'wire',
    title: 'Code and tables',
    detail: 'Markdown that is never broken while it streams.',
    text: 'How does a client resume a stream? Show me code, a list and a table.',
  },
  {
    icon: 'hourglass',
    title: 'A silent model',
    detail: 'Eight seconds without a word. You see what you are waiting for.',
    text: 'Take your time before you answer. [[first=8s]]',
  },
  {
    icon: 'refresh',
    title: 'A busy provider',
    detail: 'It refuses once. The status says so, and the gateway retries.',
    text: 'Answer when you can. [[http=429 times=1 retry=5s]]',
  },
  {
    icon: 'alert',
    title: 'A failure, half-way',
    detail: 'The provider gives up. What was written is kept, and you can retry.',
    text: 'Begin, and then fail. [[error=overloaded after=40]]',
  },
];
