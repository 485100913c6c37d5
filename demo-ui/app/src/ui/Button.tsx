import type { ButtonHTMLAttributes } from 'react';
import { Icon, type IconName } from './Icon';

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  icon?: IconName;
  look?: 'plain' | 'outline' | 'primary' | 'danger';
}

const LOOKS = {
  plain: 'text-muted-foreground hover:bg-muted hover:text-foreground',
  outline: 'border bg-card text-foreground hover:bg-muted',
  danger: 'bg-danger text-background hover:opacity-90',
  primary: 'bg-primary text-primary-foreground hover:opacity-90',
} as const;

const SHARED =
  'inline-flex shrink-0 items-center justify-center gap-1.5 rounded-lg text-sm font-medium transition disabled:opacity-40 disabled:pointer-events-none aria-pressed:bg-accent aria-pressed:text-accent-foreground';

export function Button({ icon, look = 'plain', className = '', children, ...rest }: ButtonProps) {
  return (
    <button type="button" className={`${SHARED} ${LOOKS[look]} min-h-11 px-3 ${className}`} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** A button that shows an icon only; `label` is its name. All buttons are 44 px high, for fingers. */
export function IconButton({
  icon,
  label,
  look = 'plain',
  className = '',
  ...rest
}: ButtonProps & { icon: IconName; label: string }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={`${SHARED} ${LOOKS[look]} size-11 shrink-0 ${className}`}
      {...rest}
    >
      <Icon name={icon} />
    </button>
  );
}
