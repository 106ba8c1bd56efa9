import {
  areaOf,
  dilateSquare,
  HEAD_LABELS,
  type LabelMap,
  type Mask,
  maskOf,
  needSameSize,
  union,
  without,
} from './masks.js';
import { close, dilate, disc } from './morphology.js';

/** The parts of a head that get their colours one by one, in the order in which they do: a later one may ask what became of an earlier one. */
const PART_LABELS = {
  hair: [15, 20],
  glasses: [18],
  eyes: [5, 6],
  skin: [2],
  brows: [3, 4],
  nose: [12],
  lips: [9],
  teeth: [7, 8],
  hat: [16],
  headphone: [17],
  earrings: [19],
  beard: [14],
  earLeft: [10],
  earRight: [11],
} as const;

export type PartName = keyof typeof PART_LABELS;

const PARTS = Object.keys(PART_LABELS) as PartName[];

/** The coarser parts of training, where source and target are the same person and nothing is missing. */
const TRAINING_PART_LABELS = {
  skin: [2, 14, 18],
  hair: [15, 16, 17, 20],
  eyes: [5, 6],
  brows: [3, 4],
  ears: [10, 11, 19],
  nose: [12],
  lips: [9],
  teeth: [7, 8],
} as const;

/** Fewer pixels than these (of 512x512) of a part in the target say nothing of its colour: the part counts as missing. */
const LEAST_AREA: Readonly<Record<PartName, number>> = {
  hair: 6000,
  glasses: 25,
  eyes: 150,
  skin: 3000,
  brows: 200,
  nose: 800,
  lips: 730,
  teeth: 250,
  hat: 6000,
  headphone: 200,
  earrings: 20,
  beard: 900,
  earLeft: 100,
  earRight: 100,
};

/** What to do with a part that the source has and the target lacks. */
interface MissingRule {
  /** The target's first part of these that is there gives the colours. */
  readonly borrow?: readonly PartName[];
  /** Otherwise: the source's own colours, those of the target's skin, or what little of the part there is. */
  readonly otherwise: 'copy' | 'skin' | 'leave';
}

const WHEN_MISSING: Readonly<Record<PartName, MissingRule>> = {
  hair: { borrow: ['beard'], otherwise: 'copy' },
  glasses: { otherwise: 'copy' },
  eyes: { otherwise: 'copy' },
  skin: { otherwise: 'leave' },
  brows: { borrow: ['hair', 'beard'], otherwise: 'copy' },
  nose: { otherwise: 'skin' },
  lips: { otherwise: 'copy' },
  teeth: { otherwise: 'copy' },
  hat: { otherwise: 'copy' },
  headphone: { otherwise: 'copy' },
  earrings: { otherwise: 'copy' },
  beard: { otherwise: 'skin' },
  earLeft: { otherwise: 'skin' },
  earRight: { otherwise: 'skin' },
};

/** What keeps the source's colours when its attributes are to be copied. */
const ATTRIBUTES: ReadonlySet<PartName> = new Set([
  'glasses',
  'hat',
  'headphone',
  'earrings',
  'hair',
  'brows',
  'lips',
] as const);

/** Where the colours of one part of the new head come from. */
export interface PartPlan {
  readonly part: string;
  /** The part in the source's picture. */
  readonly source: Mask;
  /** The pixels of the target's picture whose colours it may take. */
  readonly target: Mask;
  /** Whether it keeps the source's colours instead. */
  readonly copy: boolean;
}

export interface PartOptions {
  /** Keep the source's colours of glasses, hat, headphone, earrings, hair, brows and lips, whatever the target has. */
  readonly copyAttributes?: boolean;
}

type PartMasks = Record<PartName, Mask>;

const partMasks = (labels: LabelMap): PartMasks =>
  Object.fromEntries(PARTS.map((part) => [part, maskOf(labels, PART_LABELS[part])])) as PartMasks;

/** How far behind the rim of the target's glasses their colours reach (the diameter of the closing), and around the source's eyes. */
const GLASSES_DISC = 61;
const EYES_DISC = 5;

/**
 * The parts of the source's head in the order in which they are coloured, with what the original does about parts that are on one
 * side only. Both parsings are of 512x512 pixels; the least areas are counted in those.
 */
export function planParts(
  source: LabelMap,
  target: LabelMap,
  { copyAttributes = false }: PartOptions = {},
): PartPlan[] {
  needSameSize('the parsings of source and target', source, target);
  const from = partMasks(source);
  const to = partMasks(target);
  const isPresent = (part: PartName) => areaOf(to[part]) > LEAST_AREA[part];
  let eyesBehindGlasses = false;
  return PARTS.map((part) => {
    let copy = false;
    if (areaOf(to[part]) >= LEAST_AREA[part]) {
      if (part === 'glasses') {
        to.glasses = close(to.glasses, disc(GLASSES_DISC));
        to.skin = without(to.skin, to.glasses);
        // The target's eyes have the colour of glass, which a source without glasses must not get.
        eyesBehindGlasses = areaOf(from.glasses) < LEAST_AREA.glasses;
      }
    } else if (areaOf(from[part]) > 0) {
      const { borrow = [], otherwise } = WHEN_MISSING[part];
      const lender = copyAttributes ? undefined : borrow.find(isPresent);
      if (lender) to[part] = to[lender];
      else if (otherwise === 'skin') to[part] = to.skin;
      else copy = otherwise === 'copy';
    }
    if (part === 'eyes' && eyesBehindGlasses) {
      from.eyes = dilate(from.eyes, disc(EYES_DISC));
      from.skin = without(from.skin, from.eyes);
      copy = true;
    }
    return { part, source: from[part], target: to[part], copy: copy || (copyAttributes && ATTRIBUTES.has(part)) };
  });
}

/** The parts of training, each coloured after the same part of the target, whatever is missing. */
export function planTrainingParts(source: LabelMap, target: LabelMap): PartPlan[] {
  needSameSize('the parsings of source and target', source, target);
  return Object.entries(TRAINING_PART_LABELS).map(([part, labels]) => ({
    part,
    source: maskOf(source, labels),
    target: maskOf(target, labels),
    copy: false,
  }));
}

/** The masks around the heads that the blender works with. */
export interface HeadMasks {
  /** The source's head (`M_Ah`). */
  readonly head: Mask;
  /** Both heads with a margin (`M_Ad`): what of the target's picture is made anew. */
  readonly dilated: Mask;
  /** The part of it outside of the source's head (`M_Ai`): what has to be filled. */
  readonly fill: Mask;
  /** The target's head with a margin (`M_Td`) and the margin alone (`M_Ti`), whose colours fill. */
  readonly targetDilated: Mask;
  readonly targetMargin: Mask;
}

export interface MaskNoise {
  /** Pixels that are to be filled beside those of the heads, as training draws them. */
  readonly source?: Mask;
  readonly target?: Mask;
}

/** Pixels on each side of the head that are made anew: 8. */
const MARGIN_WINDOW = 17;

export function headMasks(source: LabelMap, target: LabelMap, noise: MaskNoise = {}): HeadMasks {
  needSameSize('the parsings of source and target', source, target);
  const head = maskOf(source, HEAD_LABELS);
  const targetHead = maskOf(target, HEAD_LABELS);
  const all = [targetHead, noise.source, noise.target].reduce<Mask>((sum, m) => (m ? union(sum, m) : sum), head);
  const dilated = dilateSquare(all, MARGIN_WINDOW);
  const targetDilated = dilateSquare(targetHead, MARGIN_WINDOW);
  return {
    head,
    dilated,
    fill: without(dilated, head),
    targetDilated,
    targetMargin: without(targetDilated, targetHead),
  };
}
