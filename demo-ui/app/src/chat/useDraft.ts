/** The draft of a message: its text, its files, and why a file was left out. */
import type { FileUIPart } from 'ai';
import { useState, type ClipboardEvent, type DragEvent } from 'react';
import { readFiles } from './files';

export function useDraft(busy: boolean, onSend: (text: string, files: FileUIPart[]) => void) {
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
    if (!ready || busy) return;
    onSend(text.trim(), files);
    setText('');
    setFiles([]);
    setProblem('');
  };
  const takeFiles = (event: ClipboardEvent | DragEvent, data: DataTransfer | null) => {
    if (!data || data.files.length === 0) return;
    event.preventDefault();
    void add(data.files);
  };
  return { text, setText, files, setFiles, problem, ready, add, send, takeFiles };
}

export type Draft = ReturnType<typeof useDraft>;
