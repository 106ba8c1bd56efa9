export async function floatsOf(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return new Float32Array(await response.arrayBuffer());
}
