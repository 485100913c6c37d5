/**
 * Over HTTP/1.1 a browser keeps six connections to a host, for all its tabs. One is the feed's.
 * Three may be held by answers that stream to the tab that asked for them; the rest stays free
 * for short requests: sends, stops, probes.
 */
const SLOTS = ['midstream:answer:1', 'midstream:answer:2', 'midstream:answer:3'];
/**
 * Take the right to hold a connection for the length of an answer; `null` if all are taken.
 *
 * @returns what gives it back.
 */
export async function takeSlot() {
    const locks = typeof navigator === 'undefined' ? undefined : navigator.locks;
    if (locks === undefined)
        return () => { };
    for (const name of SLOTS) {
        const release = await new Promise(resolve => {
            locks
                .request(name, { ifAvailable: true }, lock => {
                if (lock === null)
                    return resolve(null);
                return new Promise(giveBack => resolve(giveBack));
            })
                .catch(() => resolve(() => { })); // a page that may not use locks
        });
        if (release !== null)
            return release;
    }
    return null;
}
