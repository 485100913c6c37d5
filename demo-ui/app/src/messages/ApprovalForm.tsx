import { Button } from '../ui/Button';

interface Props {
  tool: string;
  onAnswer: (isAllowed: boolean) => void;
}

/** Asks for permission to make a call. Any device may answer; the first answer counts. */
export function ApprovalForm({ tool, onAnswer }: Props) {
  return (
    <div role="group" aria-label={`Permission for ${tool}`} className="flex flex-wrap items-center gap-2">
      <span className="mr-auto basis-full text-xs sm:basis-auto text-muted-foreground">It does nothing until you allow it.</span>
      <Button look="outline" icon="close" onClick={() => onAnswer(false)}>
        Refuse
      </Button>
      <Button look="primary" icon="check" onClick={() => onAnswer(true)}>
        Allow
      </Button>
    </div>
  );
}
