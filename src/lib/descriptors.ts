/** How many files and sockets the process may have open at once. Undefined: no limit, or none that is known. */
export function descriptorLimit(): number | undefined {
  const { report } = process as { readonly report?: NodeJS.ProcessReport };
  const { userLimits } = (report?.getReport() ?? {}) as { readonly userLimits?: UserLimits };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : undefined;
}

/** `unlimited` where there is none (Node.js, "Diagnostic report"). */
interface UserLimits {
  readonly open_files?: { readonly soft: number | string };
}
