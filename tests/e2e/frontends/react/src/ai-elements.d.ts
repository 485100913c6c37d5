// What the documentation's page gives to AI Elements. Their sources belong to the projects that
// copied them, and to their own licence: here is only what our page must be right about.

type Box = (props: { children?: import('react').ReactNode; className?: string }) => JSX;
type JSX = import('react').ReactNode;
type Call = import('ai').ToolUIPart | import('ai').DynamicToolUIPart;

declare module '@/components/ai-elements/conversation' {
  export const Conversation: Box;
  export const ConversationContent: Box;
}

declare module '@/components/ai-elements/message' {
  export function Message(props: {
    from: import('ai').UIMessage['role'];
    children?: import('react').ReactNode;
  }): JSX;
  export const MessageContent: Box;
  export function MessageResponse(props: { children: string }): JSX;
}

declare module '@/components/ai-elements/reasoning' {
  export function Reasoning(props: {
    isStreaming?: boolean;
    children?: import('react').ReactNode;
  }): JSX;
  export function ReasoningTrigger(): JSX;
  export function ReasoningContent(props: { children: string }): JSX;
}

declare module '@/components/ai-elements/tool' {
  export function Tool(props: {
    defaultOpen?: boolean;
    children?: import('react').ReactNode;
  }): JSX;
  export function ToolHeader(props: { type: `tool-${string}`; state: Call['state'] }): JSX;
  export const ToolContent: Box;
  export function ToolInput(props: { input: unknown }): JSX;
  export function ToolOutput(props: { output: unknown; errorText: string | undefined }): JSX;
}

declare module '@/components/ai-elements/confirmation' {
  export function Confirmation(props: {
    approval?: { id: string; approved?: boolean; reason?: string };
    state: Call['state'];
    children?: import('react').ReactNode;
  }): JSX;
  export const ConfirmationRequest: Box;
  export const ConfirmationActions: Box;
  export function ConfirmationAction(props: {
    onClick: () => void;
    children?: import('react').ReactNode;
  }): JSX;
}

declare module '@/components/ai-elements/prompt-input' {
  export function PromptInput(props: {
    onSubmit: (message: { text: string; files: import('ai').FileUIPart[] }) => void;
    children?: import('react').ReactNode;
  }): JSX;
  export function PromptInputTextarea(props: { 'aria-label'?: string }): JSX;
  export const PromptInputFooter: Box;
  export function PromptInputSubmit(props: {
    status?: import('ai').ChatStatus;
    onStop?: () => void;
  }): JSX;
}
