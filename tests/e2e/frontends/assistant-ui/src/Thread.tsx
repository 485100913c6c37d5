// What assistant-ui's own `Thread` component is made of, with nothing to look at.

import {
  ActionBarPrimitive,
  AttachmentPrimitive,
  BranchPickerPrimitive,
  ComposerPrimitive,
  MessagePrimitive,
  ThreadPrimitive,
  type ToolCallMessagePartProps,
} from '@assistant-ui/react';

export function Thread() {
  return (
    <ThreadPrimitive.Root>
      <ThreadPrimitive.Viewport>
        <ThreadPrimitive.Messages components={{ UserMessage, AssistantMessage, EditComposer }} />
      </ThreadPrimitive.Viewport>
      <ComposerPrimitive.Root>
        <ComposerPrimitive.Attachments components={{ Attachment }} />
        <ComposerPrimitive.AddAttachment>Attach</ComposerPrimitive.AddAttachment>
        <ComposerPrimitive.Input aria-label="Message" />
        <ComposerPrimitive.Send>Send</ComposerPrimitive.Send>
        <ComposerPrimitive.Cancel>Stop</ComposerPrimitive.Cancel>
      </ComposerPrimitive.Root>
    </ThreadPrimitive.Root>
  );
}

const Attachment = () => (
  <AttachmentPrimitive.Root className="attachment">
    <AttachmentPrimitive.Name />
  </AttachmentPrimitive.Root>
);

const Branches = () => (
  <BranchPickerPrimitive.Root hideWhenSingleBranch>
    <BranchPickerPrimitive.Previous>Previous</BranchPickerPrimitive.Previous>
    <span className="branch">
      <BranchPickerPrimitive.Number /> of <BranchPickerPrimitive.Count />
    </span>
    <BranchPickerPrimitive.Next>Next</BranchPickerPrimitive.Next>
  </BranchPickerPrimitive.Root>
);

const UserMessage = () => (
  <MessagePrimitive.Root className="user">
    <div className="said">
      <MessagePrimitive.Parts />
    </div>
    <MessagePrimitive.Attachments components={{ Attachment }} />
    <ActionBarPrimitive.Root>
      <ActionBarPrimitive.Edit>Edit</ActionBarPrimitive.Edit>
    </ActionBarPrimitive.Root>
    <Branches />
  </MessagePrimitive.Root>
);

const AssistantMessage = () => (
  <MessagePrimitive.Root className="assistant">
    <div className="said">
      <MessagePrimitive.Parts components={{ tools: { Fallback: Tool } }} />
    </div>
    <ActionBarPrimitive.Root>
      <ActionBarPrimitive.Reload>Again</ActionBarPrimitive.Reload>
    </ActionBarPrimitive.Root>
    <Branches />
  </MessagePrimitive.Root>
);

const EditComposer = () => (
  <ComposerPrimitive.Root className="edit">
    <ComposerPrimitive.Input aria-label="Edited" />
    <ComposerPrimitive.Send>Save</ComposerPrimitive.Send>
  </ComposerPrimitive.Root>
);

function Tool({ toolName, result, approval, respondToApproval }: ToolCallMessagePartProps) {
  const asks = approval !== undefined && approval.approved === undefined;
  return (
    <span className="tool">
      {toolName}: {JSON.stringify(result) ?? 'no result'}
      {asks && <button onClick={() => void respondToApproval({ approved: true })}>Allow</button>}
    </span>
  );
}
