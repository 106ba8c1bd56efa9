/**
 * What a picture says of how it was made, as IPTC has it for pictures with parts that a trained model computed. It stands in
 * the picture's XMP, which travels in PNG, JPEG and WebP.
 */

/** IPTC's word for a picture that is put together from photographs and from what a trained model computed. */
export const COMPOSITE_SOURCE_TYPE =
  'http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia';

export interface Provenance {
  /** A term of IPTC's vocabulary of digital source types, as a URL. */
  readonly digitalSourceType?: string;
  /** The program that made the picture. */
  readonly creatorTool?: string;
  /** The trained model that was used. */
  readonly aiSystem?: string;
}

const NAMESPACES = {
  xmp: 'http://ns.adobe.com/xap/1.0/',
  Iptc4xmpExt: 'http://iptc.org/std/Iptc4xmpExt/2008-02-29/',
} as const;

const PROPERTIES: readonly (readonly [key: keyof Provenance, name: string])[] = [
  ['creatorTool', 'xmp:CreatorTool'],
  ['digitalSourceType', 'Iptc4xmpExt:DigitalSourceType'],
  ['aiSystem', 'Iptc4xmpExt:AISystemUsed'],
];

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };

const escaped = (text: string) => text.replace(/[&<>"']/g, (c) => ENTITIES[c]);

const unescaped = (text: string) =>
  Object.entries(ENTITIES)
    .reverse()
    .reduce((plain, [c, entity]) => plain.replaceAll(entity, c), text);

/** The provenance as an XMP packet. */
export function xmpPacket(provenance: Provenance): string {
  const spaces = Object.entries(NAMESPACES).map(([prefix, url]) => `xmlns:${prefix}="${url}"`);
  const elements = PROPERTIES.flatMap(([key, name]) => {
    const value = provenance[key];
    return value === undefined ? [] : [`   <${name}>${escaped(value)}</${name}>`];
  });
  return [
    '<?xpacket begin="\uFEFF" id="W5M0MpCehiHzreSzNTczkc9d"?>',
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">',
    ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">',
    `  <rdf:Description rdf:about="" ${spaces.join(' ')}>`,
    ...elements,
    '  </rdf:Description>',
    ' </rdf:RDF>',
    '</x:xmpmeta>',
    '<?xpacket end="w"?>',
  ].join('\n');
}

/** The `rdf:resource` of an element. No tag has a `<` in it, so that each is looked through up to there, and all of them once. */
function resource(xmp: string, name: string): string | undefined {
  for (const [, attributes] of xmp.matchAll(new RegExp(`<${name}(\\s[^<]*)`, 'g'))) {
    const found = /\srdf:resource="([^"]*)"/.exec(attributes);
    if (found && !attributes.slice(0, found.index).includes('>')) return found[1];
  }
  return undefined;
}

/** A property of an XMP packet, whichever of the ways of writing it was taken: an element, a resource, an attribute. */
function property(xmp: string, name: string): string | undefined {
  const values = [
    new RegExp(`<${name}>([^<]*)</${name}>`).exec(xmp)?.[1],
    resource(xmp, name),
    new RegExp(`\\s${name}="([^"]*)"`).exec(xmp)?.[1],
  ];
  const value = values.map((text) => text?.trim()).find(Boolean);
  return value === undefined ? undefined : unescaped(value);
}

/** What an XMP packet says of how its picture was made; undefined if nothing. The packet is not trusted to be well-formed. */
export function readProvenance(xmp: string): Provenance | undefined {
  const entries = PROPERTIES.flatMap(([key, name]) => {
    const value = property(xmp, name);
    return value === undefined ? [] : [[key, value] as const];
  });
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}
