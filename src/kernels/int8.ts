import { int8Conv } from './int8-conv';
import { int8Copy, int8FromFloats, int8FromPlanes, int8Table, int8ToFloats } from './int8-convert';
import { int8Depthwise } from './int8-depthwise';
import { int8Add, int8Gate, int8GlobalAveragePool } from './int8-elementwise';
import { Opcode } from './opcodes';

/** The kernels of quantised networks. */
export function int8Call(opcode: i32, args: usize, tid: i32, threads: i32): void {
  switch (opcode) {
    case Opcode.Int8Conv:
      return int8Conv(args, tid, threads);
    case Opcode.Int8Depthwise:
      return int8Depthwise(args, tid, threads);
    case Opcode.Int8FromPlanes:
      return int8FromPlanes(args, tid, threads);
    case Opcode.Int8FromFloats:
      return int8FromFloats(args, tid, threads);
    case Opcode.Int8ToFloats:
      return int8ToFloats(args, tid, threads);
    case Opcode.Int8Copy:
      return int8Copy(args, tid, threads);
    case Opcode.Int8Table:
      return int8Table(args, tid, threads);
    case Opcode.Int8Add:
      return int8Add(args, tid, threads);
    case Opcode.Int8Gate:
      return int8Gate(args, tid, threads);
    case Opcode.Int8GlobalAveragePool:
      return int8GlobalAveragePool(args, tid, threads);
    default:
      unreachable();
  }
}
