// Onboarding: files of the reader's disk go into the fields of the form; an archive goes along as text.
const form = document.querySelector("[data-onboard]");
const place = form.querySelector("[data-files]");
const told = form.querySelector("[data-files-told]");
const fields = { "plan.py": form.elements.plan, "job.toml": form.elements.job };
place.hidden = false;

const asText = (file) => new Promise((done, failed) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
  reader.onerror = () => failed(reader.error);
  reader.readAsDataURL(file);
});

place.querySelector("input").addEventListener("change", async (event) => {
  const taken = [];
  const left = [];
  for (const file of event.target.files) {
    if (file.size > Number(form.dataset.most)) left.push(`${file.name} is too large for a page`);
    else if (file.name in fields) { fields[file.name].value = await file.text(); taken.push(file.name); }
    else if (file.name.endsWith(".zip")) {
      form.elements.archive.value = await asText(file);
      form.elements.archive_name.value = file.name;
      // What the archive has comes in their place.
      for (const field of Object.values(fields)) field.value = "";
      taken.push(file.name);
    } else left.push(`${file.name} is neither plan.py nor job.toml: put the folder into a ZIP archive`);
  }
  told.className = left.length ? "problem" : "help";
  told.textContent = [taken.length ? `Taken: ${taken.join(", ")}.` : "", left.length ? `${left.join("; ")}.` : ""].filter(Boolean).join(" ");
});
