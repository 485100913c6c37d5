import { encode } from 'uqr';
import { Fragment, useMemo, useState } from 'react';
import { addressOf } from '../page/route';
import { Button } from '../ui/Button';
import { Dialog } from '../ui/Dialog';

const LOOPBACK = /^(localhost|127\.|\[?::1|0\.0\.0\.0)/;
/** Settings in the environment: they serve `make run` and `midstream serve` alike. */
const EXPOSED = ['MIDSTREAM_SERVER_HOST=0.0.0.0', 'MIDSTREAM_SERVER_INSECURE=true'];

/** Browsers offer no clipboard to pages without TLS, of other machines. */
const canCopy = Boolean(navigator.clipboard);

export default function ShareDialog({ sessionId, onClose }: { sessionId: string; onClose: () => void }) {
  const address = location.origin + addressOf(sessionId);
  const [copied, setCopied] = useState(false);
  return (
    <Dialog title="Open this session elsewhere" onClose={onClose}>
      <p className="mb-4 text-sm text-pretty text-muted-foreground">
        Another tab or another device shows the same session, even in the middle of an answer.
      </p>
      <QrCode text={address} />
      {LOOPBACK.test(location.host) && (
        <p className="mt-4 rounded-lg bg-warning-soft p-3 text-sm text-warning">
          This address is only for this machine. For a phone in your network, start the gateway again with{' '}
          {EXPOSED.map((setting) => (
            <Fragment key={setting}>
              <code className="font-mono text-xs whitespace-nowrap">{setting}</code>{' '}
            </Fragment>
          ))}
          in front of the same command, and open it by this machine's own address. Everybody in the network can use
          it then.
        </p>
      )}
      <div className="mt-4 flex items-center gap-2">
        <input
          readOnly
          aria-label="Address of this session"
          value={address}
          onFocus={(event) => event.target.select()}
          className="h-11 min-w-0 flex-1 rounded-lg border bg-background px-3 font-mono text-xs"
        />
        {canCopy && (
          <Button
            look="primary"
            icon={copied ? 'check' : 'copy'}
            onClick={() => void navigator.clipboard.writeText(address).then(() => setCopied(true))}
          >
            {copied ? 'Copied' : 'Copy'}
          </Button>
        )}
      </div>
    </Dialog>
  );
}

function QrCode({ text }: { text: string }) {
  const { path, size } = useMemo(() => {
    const code = encode(text, { border: 2 });
    const squares = code.data.flatMap((row, y) =>
      row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : [])),
    );
    return { path: squares.join(''), size: code.size };
  }, [text]);
  return (
    <svg
      role="img"
      aria-label="QR code of this session's address"
      viewBox={`0 0 ${size} ${size}`}
      shapeRendering="crispEdges"
      className="mx-auto size-52 rounded-xl bg-white"
    >
      <path d={path} fill="#0d1214" />
    </svg>
  );
}
