/** The person's answers to a tool's call: its result, or whether it may be made. */
export interface ToolAnswers {
  onResult: (tool: string, toolCallId: string, output: unknown) => void;
  onApproval: (approvalId: string, isAllowed: boolean) => void;
}
