/** The draft of a message: its text, its files, and why a file was left out. */
import type { FileUIPart } from 'ai';
import { useState, type ClipboardEvent, type DragEvent } from 'react';
import { readFiles } from './files';

export function useDraft(onSend: (text: string, files: FileUIPart[]) => void) {
  const [text, setText] = useState('');
  const [files, setFiles] = useState<FileUIPart[]>([]);
  const [problem, setProblem] = useState('');
  const ready = text.trim() !== '' || files.length > 0;

  const add = async (picked: Iterable<File>) => {
    const found = await readFiles(picked, files);
    setFiles((present) => [...present, ...found.files]);
    setProblem(found.problem);
  };
  const send = () => {
    if (!ready) return;
    setText('');
    setFiles([]);
    setProblem('');
    onSend(text.trim(), files);
  };
  /** Takes back a message that was refused, before what was typed since. */
  const putBack = (refused: string, attached: FileUIPart[], why: string) => {
    setText((typed) => [refused, typed].filter((each) => each !== '').join('\n\n'));
    setFiles((present) => [...attached, ...present]);
    setProblem(why);
  };
  const takeFiles = (event: ClipboardEvent | DragEvent, data: DataTransfer | null) => {
    if (!data || data.files.length === 0) return;
    event.preventDefault();
    void add(data.files);
  };
  return { text, setText, files, setFiles, problem, setProblem, ready, add, send, putBack, takeFiles };
}

export type Draft = ReturnType<typeof useDraft>;
