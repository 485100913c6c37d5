import type { FileUIPart } from 'ai';
import { Icon } from '../ui/Icon';

export function Attachments({
  files,
  onRemove,
}: {
  files: FileUIPart[];
  onRemove?: (index: number) => void;
}) {
  return (
    <ul aria-label="Attachments" className="flex flex-wrap gap-2">
      {files.map((file, index) => (
        <li key={index} className="relative">
          {file.mediaType.startsWith('image/') ? (
            <img
              src={file.url}
              alt={file.filename ?? 'Attached image'}
              className="h-20 max-w-44 rounded-xl border object-cover"
            />
          ) : (
            <span className="flex h-20 w-44 flex-col justify-between rounded-xl border bg-card p-2.5 text-xs text-foreground">
              <span className="font-semibold text-muted-foreground">PDF</span>
              <span className="line-clamp-2 wrap-anywhere">{file.filename ?? 'Without a name'}</span>
            </span>
          )}
          {onRemove && (
            <button
              type="button"
              aria-label={`Remove ${file.filename ?? 'attachment'}`}
              onClick={() => onRemove(index)}
              className="absolute -top-4 -right-4 grid size-11 place-items-center"
            >
              <span className="grid size-6 place-items-center rounded-full border bg-popover shadow-sm">
                <Icon name="close" className="size-3.5" />
              </span>
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}
