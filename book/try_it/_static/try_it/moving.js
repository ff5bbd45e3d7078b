// Moving pictures: a camera, or a video file of the visitor's own, in a video element.
import {PictureError} from "./pictures.js";

const REFUSALS = {
  NotAllowedError: "The camera was refused. Allow it for this page in the browser's settings, or use a file.",
  NotFoundError: "No camera was found. Use a file instead.",
  NotReadableError: "The camera could not be started; another program may be using it. Close that, or use a file.",
};

// The stream of a camera `width` pixels wide, if there is such a one.
export async function askCamera(width) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new PictureError("Browsers give a camera only to pages from https or from this machine. Use a file instead.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({video: {width: {ideal: width}}});
  } catch (error) {
    throw new PictureError(REFUSALS[error.name] ?? `The camera could not be started (${error.message}). Use a file.`);
  }
}

// Shows a file's first frame.
export async function openVideo(video, file) {
  const called = file.name || "That";
  if (file.type && !file.type.startsWith("video/")) {
    throw new PictureError(`${called} is not a video (it is ${file.type}). An MP4 or WebM file works.`);
  }
  const address = URL.createObjectURL(file);
  const loaded = new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = reject;
  });
  Object.assign(video, {srcObject: null, loop: true, src: address});
  try {
    await loaded;
    if (!video.videoWidth) throw new Error("only sound");
  } catch {
    release(video);
    const reasons = "It may be damaged, hold sound alone, or be of a kind that this browser does not know.";
    throw new PictureError(`${called} could not be read as a video. ${reasons} An MP4 or WebM file works.`);
  }
}

// Switches the camera off, or lets go of the file.
export function release(video) {
  video.onloadeddata = video.onerror = null;
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  if (!video.src) return;
  URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
}
