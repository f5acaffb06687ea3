// A worker for tests of the photograph page: it answers at once and by rule, from the mean colour of each picture.

const seen = new Map();
let rows = [], classes = 0, stopped = false;
const tell = (answer) => self.postMessage(answer);
const colour = (pixels) => {
  const mean = [0, 0, 0];
  pixels.forEach((value, i) => (mean[i % 3] += value / 255 / (pixels.length / 3)));
  return mean;
};
const apart = (a, b) => Math.hypot(...a.map((value, i) => value - b[i]));
const soft = (scores) => {
  const all = scores.map((score) => Math.exp(8 * score));
  const total = all.reduce((sum, each) => sum + each, 0);
  return all.map((each) => each / total);
};
// By arm: the means of the classes' colours; always the first class; the means with red alone; as the first.
const shares = (arm, mean, others) => {
  const scores = Array.from({ length: classes }, (_, k) => {
    const own = others.filter((row) => row.label === k).map((row) => seen.get(row.id));
    const centre = [0, 1, 2].map((c) =>
      own.reduce((sum, each) => sum + each[c], 0) / Math.max(1, own.length)
    );
    if (arm === 1) return k === 0 ? 1 : 0;
    return arm === 2 ? -Math.abs(mean[0] - centre[0]) : -apart(mean, centre);
  });
  return soft(scores);
};
const top = (values) => values.indexOf(Math.max(...values));
const train = async (question) => {
  // So that a test can see a training fail.
  if (question.rows.length === 13) throw new Error("the numbers ran out");
  stopped = false;
  ({ rows, classes } = question);
  const { run } = question;
  const counts = Array.from(
    { length: classes },
    (_, k) => new Set(rows.filter((row) => row.label === k).map((row) => row.group)).size,
  );
  const folds = counts.every((count) => count > 1) ? Math.min(10, Math.max(2, Math.min(...counts))) : 0;
  const groups = [...new Set(rows.map(({ group }) => group))];
  const parts = rows.map(({ group }) => folds ? groups.indexOf(group) % folds : -1);
  tell({ do: "plan", run, plan: { folds, one: false, parts, groups: groups.length } });
  for (const arm of [0, 1, 2, 3]) {
    if (arm === 3) {
      const points = [0, 1].flatMap((arm) =>
        [1, 2, 3].filter((n) => n < Math.min(...counts)).map((perClass) => ({
          arm,
          perClass,
          share: arm ? 1 / classes + 0.02 * perClass : 0.6 + 0.1 * perClass,
          draws: 5,
          spread: 0.05,
        }))
      );
      tell({ do: "curve", run, points });
      const endless = rows.length === 11; // so that a test can stop it
      for (let i = 0; i < 10 || endless; i++) {
        tell({ do: "progress", ask: run, share: Math.min(1, 0.5 + i / 20), doing: "the last stage" });
        await new Promise((resolve) => setTimeout(resolve, 20));
        if (stopped || question.rows !== rows) break;
      }
      if (question.rows !== rows) {
        return tell({ do: "trained", run, stopped: true, seconds: 0, distances: [] });
      }
      if (stopped) break;
    }
    const all = new Float32Array(rows.length * classes);
    const answers = [];
    let right = 0;
    rows.forEach((row, i) => {
      const own = shares(arm, seen.get(row.id), rows.filter((other) => other.group !== row.group));
      all.set(own, i * classes);
      answers.push(folds ? top(own) : -1);
      right += Number(folds && top(own) === row.label);
    });
    tell({
      do: "result",
      run,
      result: {
        arm,
        shares: all,
        answers,
        right,
        of: folds ? rows.length : 0,
        folds,
        seconds: 0.01,
        steps: 9,
      },
    });
  }
  const distances = rows.map((row) =>
    Math.min(
      ...rows.filter((other) => other.group !== row.group).map((other) =>
        apart(seen.get(row.id), seen.get(other.id))
      ),
    )
  );
  tell({ do: "trained", run, stopped, seconds: 0.1, distances: distances.sort((a, b) => a - b) });
};
self.onmessage = ({ data }) => {
  if (data.do === "load") tell({ do: "loaded", path: "plain", seconds: 0 });
  if (data.do === "see") {
    seen.set(data.id, colour(data.pixels));
    const none = new Float32Array(1);
    tell({
      do: "seen",
      id: data.id,
      features: { trained: none, random: none, pixels: none, last: none },
      seconds: 0.05,
    });
  }
  if (data.do === "forget") data.ids.forEach((id) => seen.delete(id));
  if (data.do === "train") {
    train(data).catch(({ message }) => tell({ do: "failed", about: "train", ask: data.run, message }));
  }
  if (data.do === "stop") stopped = true;
  if (data.do === "name") {
    const mean = "id" in data.of ? seen.get(data.of.id) : colour(data.of.pixels);
    const own = rows.find(({ id }) => id === data.of.id)?.group;
    const nearest = rows.filter(({ id, group }) => group !== own && seen.has(id)).map(({ id }) => ({
      id,
      similarity: 1 - apart(mean, seen.get(id)),
    }));
    nearest.sort((a, b) => b.similarity - a.similarity);
    const distance = 1 - nearest[0].similarity;
    tell({
      do: "named",
      ask: data.ask,
      named: {
        shares: [0, 1, 2, 3].map((arm) => shares(arm, mean, rows)),
        nearest: nearest.slice(0, data.nearest),
        distance,
        farther: 0,
      },
    });
  }
  if (data.do === "occlude") {
    const [side, patch, stride] = [7, 32, 16];
    const drops = Float32Array.from(
      { length: side * side },
      (_, place) => place % side === 0 && place < 3 * side ? 0.5 : 0.01,
    );
    tell({ do: "progress", ask: data.ask, share: 0.5, doing: "covering" });
    // So that a test can see both: the network of pixels has always learned from the picture.
    tell({ do: "occluded", ask: data.ask, heldBack: data.arm !== 2, share: 0.9, side, patch, stride, drops });
  }
  if (data.do === "export") {
    const array = (...shape) => ({
      shape,
      values: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)),
    });
    const arrays = {
      kernel: array(1280, classes),
      bias: array(classes),
      mean: array(1280),
      scale: array(1280),
    };
    tell({
      do: "exported",
      ask: data.ask,
      arm: data.arm,
      arrays: data.arm === 3 ? { ...arrays, last_kernel: array(320, 1280), last_bias: array(1280) } : arrays,
    });
  }
};
