import { readPart, withRegular } from '../formats/files.js';
import { printable } from '../formats/text.js';
import { pictureInfo } from '../headswap/picture-file.js';
import { COMPOSITE_SOURCE_TYPE } from '../headswap/provenance.js';
import { formatBytes, formatPairs, type Io, printJson, styleFor } from './output.js';

/** How the files of pictures begin: PNG, JPEG, GIF, TIFF of either byte order; RIFF and ISO containers tell behind four bytes. */
const BEGINNINGS = ['\x89PNG\r\n\x1a\n', '\xff\xd8\xff', 'GIF8', 'II*\0', 'MM\0*'];

/** Whether a file is a picture, by its first bytes. What cannot be read is none. */
export function isPictureFile(path: string): boolean {
  let text: string;
  try {
    text = withRegular(path, ({ descriptor }) => Buffer.from(readPart(descriptor, 0, 12)).toString('latin1'));
  } catch {
    return false;
  }
  return BEGINNINGS.some((start) => text.startsWith(start)) || /^RIFF.{4}WEBP|^.{4}ftypavi[fs]/s.test(text);
}

const SOURCE_TYPES: Record<string, string> = {
  [COMPOSITE_SOURCE_TYPE]: 'a photograph with a part that a trained model made',
};

export async function infoPicture(io: Io, path: string, json: boolean | undefined): Promise<void> {
  const info = await pictureInfo(path);
  if (json) {
    printJson(io, { path, ...info });
    return;
  }
  const { format, width, height, channels, space, bytes, provenance } = info;
  const { digitalSourceType, creatorTool, aiSystem } = provenance ?? {};
  const meaning = digitalSourceType && SOURCE_TYPES[digitalSourceType];
  const pairs: (readonly [string, string | undefined])[] = [
    ['format', format],
    ['size', `${width} x ${height} pixels, ${channels} channels (${space}), ${formatBytes(bytes)}`],
    ['made with', creatorTool],
    ['AI system', aiSystem],
    ['source type', digitalSourceType && (meaning ? `${meaning} (${digitalSourceType})` : digitalSourceType)],
    ['provenance', provenance ? undefined : 'the file says nothing of how it was made'],
  ];
  const shown = pairs.flatMap(([name, value]) => (value ? [[name, printable(value, 300)] as const] : []));
  io.out.write(formatPairs(shown, styleFor(io.out)));
}
