import type { Content } from "../content/content.ts";
import type { AppEvent } from "../events.ts";

/** Files of a folder that cannot be sent and are named. */
const FAILURES_TOLD = 10;
/** Links and special files of a folder that are named. */
const SKIPPED_TOLD = 5;

/** Says what of a folder is not sent, and why. */
export function sayWhatIsLeftOut(
  { path, skipped, follows, failed }: Content,
  emit: (event: AppEvent) => void,
): void {
  if (skipped.length > 0) {
    const what = skipped.length === 1
      ? "1 link or special file"
      : `${skipped.length} links or special files`;
    const some = skipped.slice(0, SKIPPED_TOLD).join(", ") +
      (skipped.length > SKIPPED_TOLD ? ", ..." : "");
    const remedy = follows
      ? "links are not followed to nowhere, or to folders that they are in"
      : "--follow sends what links point to";
    emit({ event: "notice", message: `Not sent of ${path}: ${what} (${some}); ${remedy}` });
  }
  for (const { code, message } of failed.slice(0, FAILURES_TOLD)) {
    emit({ event: "error", code, message });
  }
  const more = failed.length - FAILURES_TOLD;
  if (more > 0) emit({ event: "notice", message: `Not sent of ${path} either: ${more} more` });
}
