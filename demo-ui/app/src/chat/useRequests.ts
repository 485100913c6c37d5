/** The requests of a chat. Each goes to the chosen agent and model. */
import type { FileUIPart } from 'ai';
import { useCallback, useMemo } from 'react';
import type { ToolAnswers } from '../messages/toolAnswers';
import type { Message } from '../session/types';
import type { DemoSession } from '../session/useDemoSession';
import type { Choice } from './ModelPicker';

export function useRequests(chat: DemoSession['chat'], choice: Choice) {
  const { sendMessage, regenerate, addToolOutput, addToolApprovalResponse } = chat;
  return {
    send: (text: string, files: FileUIPart[]) => {
      void sendMessage({ text, files }, { body: { ...choice } });
    },
    regenerate: useCallback(
      (messageId?: string) => void regenerate({ messageId, body: { ...choice } }),
      [regenerate, choice],
    ),
    edit: useCallback(
      (message: Message, text: string) => {
        const files = message.parts.filter((part): part is FileUIPart => part.type === 'file');
        void sendMessage({ text, files, messageId: message.id }, { body: { ...choice } });
      },
      [sendMessage, choice],
    ),
    toolAnswers: useMemo<ToolAnswers>(() => {
      const goOn = () => sendMessage(undefined, { body: { ...choice } });
      return {
        async onResult(tool, toolCallId, output) {
          await addToolOutput({ tool: tool as never, toolCallId, output: output as never });
          await goOn();
        },
        async onApproval(id, approved) {
          await addToolApprovalResponse({ id, approved });
          await goOn();
        },
      };
    }, [addToolOutput, addToolApprovalResponse, sendMessage, choice]),
  };
}
