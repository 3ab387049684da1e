import { fontFile } from './fonts.ts';

/**
 * Draws an SVG file's text as PNG bytes, with the shipped DejaVu fonts: without font files the
 * renderer would leave out every label and say nothing.
 *
 * @param scale  pixels for each SVG unit
 */
export async function svgToPng(svg: string, scale = 2): Promise<Uint8Array> {
  // Loaded here and not above, because most callers never draw.
  const { Resvg } = await import('@resvg/resvg-js');
  const resvg = new Resvg(svg, {
    fitTo: { mode: 'zoom', value: scale },
    font: {
      loadSystemFonts: false,
      fontFiles: [fontFile('DejaVuSans'), fontFile('DejaVuSans-Bold')],
      defaultFontFamily: 'DejaVu Sans',
      sansSerifFamily: 'DejaVu Sans',
    },
  });
  return resvg.render().asPng();
}
