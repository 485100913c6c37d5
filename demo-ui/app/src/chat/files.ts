/** Files of a message, as data URLs, within the limit of one request. */
import type { FileUIPart } from 'ai';

export const ACCEPTED = 'image/*,application/pdf';
const LIMIT_BYTES = 5 * 1024 * 1024;

export interface PickedFiles {
  files: FileUIPart[];
  /** Which file was left out, and why; empty if none was. */
  problem: string;
}

export async function readFiles(picked: Iterable<File>, present: FileUIPart[]): Promise<PickedFiles> {
  const files: FileUIPart[] = [];
  let bytes = present.reduce((sum, file) => sum + file.url.length * 0.75, 0);
  let problem = '';
  for (const file of picked) {
    if (!file.type.startsWith('image/') && file.type !== 'application/pdf') {
      problem = `${file.name} is neither an image nor a PDF`;
    } else if (bytes + file.size > LIMIT_BYTES) {
      problem = `${file.name} is too large: 5 MB is what one message holds`;
    } else {
      bytes += file.size;
      files.push({ type: 'file', mediaType: file.type, filename: file.name, url: await dataUrl(file) });
    }
  }
  return { files, problem };
}

function dataUrl(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
