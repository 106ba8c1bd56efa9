import { readFileSync } from 'node:fs';

/**
 * The most memory that this process itself had resident, everything in it included. What getrusage calls maxRSS may still be that of the
 * process that started it, so where the system tells the process's own it is taken.
 */
export function peakMemoryMB() {
  try {
    const [, kilobytes] = /^VmHWM:\s*(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    if (kilobytes) return Number(kilobytes) / 1024;
  } catch {
    // No such file outside Linux.
  }
  return process.resourceUsage().maxRSS / 1024;
}
