// Lines are joined when this is put into a page: each ends with what ends it.
(() => {
  if (!window.PublicKeyCredential) return;
  const page = document;
  for (const part of page.querySelectorAll('[data-script]')) part.hidden = false;
  const box = page.querySelector('form[data-passkey]');
  if (!box) return;
  const fields = box.elements, said = box.dataset, asked = JSON.parse(said.passkey);
  const making = 'user' in asked;
  const bytes = text => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
  const text = from => btoa(String.fromCharCode(...new Uint8Array(from))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
  asked.challenge = bytes(asked.challenge);
  if (making) asked.user.id = bytes(asked.user.id);
  for (const known of asked.allowCredentials || asked.excludeCredentials || []) known.id = bytes(known.id);
  let stop;
// Fields are read one by one: password managers hand out objects that cannot be turned into JSON.
  const ask = async mediation => {
    stop?.abort();
    stop = new AbortController();
    const options = { publicKey: asked, signal: stop.signal };
    if (mediation) options.mediation = mediation;
    try {
      const keys = navigator.credentials, got = await (making ? keys.create(options) : keys.get(options));
      const from = got.response, put = (name, value) => { fields[name].value = text(value || []) };
      put('client', from.clientDataJSON);
      if (making) {
        put('attestation', from.attestationObject);
        fields.transports.value = from.getTransports?.().join(' ') || '';
      } else {
        put('id', got.rawId);
        put('data', from.authenticatorData);
        put('signature', from.signature);
        put('user', from.userHandle);
      }
      if (page.querySelector('#remember:checked')) fields.remember.checked = true;
      box.action += location.hash;
      box.submit();
    } catch (error) {
// Nobody has asked for what autofill cannot do.
      if (!mediation && error.name !== 'AbortError') box.querySelector('.problem').textContent = error.name === 'InvalidStateError' && said.known || said.failed;
    }
  };
  if (making) fields.name.focus();
  box.addEventListener('submit', event => {
    event.preventDefault();
    ask();
  });
  if ('autofill' in said) PublicKeyCredential.isConditionalMediationAvailable?.().then(able => able && ask('conditional'));
})();
