/** What the page uses of lean-qr. */

export const correction: Readonly<Record<"L" | "M" | "Q" | "H", number>>;

export interface Code {
  readonly size: number;
  get(x: number, y: number): boolean;
}

/** The QR code of a text. */
export function generate(text: string, options?: { minCorrectionLevel?: number }): Code;
